"""The workbench: from a trained segmentation graph to the fastest OpenVINO IR that keeps its promises."""
