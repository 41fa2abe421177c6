"""FFmpeg: the only place that starts it."""
