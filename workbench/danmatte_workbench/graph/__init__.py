"""OpenVINO graphs taken apart and put together: conversion and cut, surgery, reshaping, and what a bare graph tells."""
