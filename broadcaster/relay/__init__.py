"""The embedded RTMP relay (nginx with its RTMP module): its configuration and its health page."""
