"""Tests of video quality."""
