"""Analysis and changes of OpenVINO graphs: conversion, cuts, surgery, reshaping, detection of what a graph expects."""
