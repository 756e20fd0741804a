"""Surgery on OpenVINO graphs in memory: cutting, reshaping, fusing, preprocessing."""
