"""Every metric of the station, defined once, with unit and labels.

All processes share prometheus-client's multiprocess directory (``PROMETHEUS_MULTIPROC_DIR``, set
by the supervisor before any role starts); the API serves the sum.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LAG_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.1, 0.5, 1.0)

ONAIR = Gauge(
    "broadcaster_onair",
    "1 while an IDR reached the destination within 3 s",
    ["channel", "destination"],
    multiprocess_mode="mostrecent",
)
TICK_LAG = Histogram(
    "broadcaster_tick_lag_seconds", "how late a tick was begun", buckets=LAG_BUCKETS_S
)
TICKS = Counter("broadcaster_ticks_total", "ticks sent", ["channel"])
TICKS_SKIPPED = Counter(
    "broadcaster_ticks_skipped_total", "ticks of wall time given up by re-anchoring"
)
MIXER_SOURCE = Gauge(
    "broadcaster_mixer_source",
    "1 for what is on air now (idle, task, slate)",
    ["channel", "source"],
    multiprocess_mode="livemostrecent",
)
ENCODE_SECONDS = Histogram(
    "broadcaster_encode_seconds",
    "time that encoding a live picture took",
    ["channel"],
    buckets=(0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.032, 0.04, 0.08, 0.2),
)
LATE_PICTURES = Counter(
    "broadcaster_late_pictures_total",
    "ticks on air whose idle picture was not decoded in time, so that the one before stood",
    ["channel"],
)
AVATAR_ON_AIR = Gauge(
    "broadcaster_avatar_on_air",
    "1 for the avatar that a channel shows",
    ["channel", "avatar"],
    multiprocess_mode="livemostrecent",
)
BATCHES = Counter(
    "broadcaster_pool_batches_total", "batches of pictures, by outcome (done, lost)", ["outcome"]
)
BATCH_SECONDS = Histogram(
    "broadcaster_pool_batch_seconds",
    "time a worker took for a batch of pictures",
    buckets=(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12),
)
WORKERS = Gauge(
    "broadcaster_pool_workers", "workers in a state", ["state"], multiprocess_mode="livemostrecent"
)
WORKER_DEATHS = Counter(
    "broadcaster_pool_worker_deaths_total", "workers that ended, by reason", ["worker", "reason"]
)
FREE_PICTURES = Gauge(
    "broadcaster_pool_free_pictures",
    "pictures that the ring has room for; all of it while nobody speaks",
    multiprocess_mode="livemostrecent",
)
FINAL_FPS = Gauge(
    "broadcaster_final_fps",
    "pictures per second at which the newest batch of a channel was rendered",
    ["channel"],
    multiprocess_mode="livemostrecent",
)
FIRST_FRAME_MS = Histogram(
    "broadcaster_first_frame_ms",
    "from accepting a task to its first picture on air; tasks that waited for others included",
    ["channel"],
    buckets=(200, 300, 400, 500, 600, 800, 1000, 1500, 2000, 5000, 20000, 60000),
)
UNDERRUNS = Counter("broadcaster_underruns_total", "times a task ran dry on air", ["channel"])
PUSH_RESTARTS = Counter(
    "broadcaster_push_restarts_total",
    "push processes replaced",
    ["channel", "destination", "reason"],
)
PUSH_PROGRESS_AGE = Gauge(
    "broadcaster_push_last_progress_age_seconds",
    "age of the push process's last progress",
    ["channel", "destination"],
    multiprocess_mode="livemostrecent",
)
PUSH_SESSION_AGE = Gauge(
    "broadcaster_push_session_age_seconds",
    "age of the RTMP session on its own timeline",
    ["channel", "destination"],
    multiprocess_mode="livemostrecent",
)
PUSH_QUEUE_BYTES = Gauge(
    "broadcaster_push_queue_bytes",
    "bytes waiting for the push process",
    ["channel", "destination"],
    multiprocess_mode="livemostrecent",
)
PUSH_DROPPED_TICKS = Counter(
    "broadcaster_push_dropped_ticks_total",
    "ticks dropped for a slow destination",
    ["channel", "destination"],
)
AV_SKEW = Gauge(
    "broadcaster_av_skew_seconds",
    "sound mixed minus pictures sent, on the channel timeline",
    ["channel"],
    multiprocess_mode="livemostrecent",
)
ROLE_UP = Gauge(
    "broadcaster_role_up", "1 while the role runs", ["role"], multiprocess_mode="livemostrecent"
)
ROLE_RESTARTS = Counter("broadcaster_role_restarts_total", "restarts of a role", ["role", "reason"])
PROCESS_PSS = Gauge(
    "broadcaster_process_pss_bytes",
    "proportional set size of a role and its children",
    ["role"],
    multiprocess_mode="livemostrecent",
)
DISK_FREE = Gauge(
    "broadcaster_disk_free_bytes",
    "free space for the state directory",
    ["dir"],
    multiprocess_mode="livemostrecent",
)
DISK_SIZE = Gauge(
    "broadcaster_disk_size_bytes",
    "size of the file system that the state directory is on",
    ["dir"],
    multiprocess_mode="livemostrecent",
)
TASKS = Counter("broadcaster_tasks_total", "tasks that ended", ["channel", "outcome"])
AVATARS = Counter("broadcaster_avatars_total", "avatars made of uploads, or failed", ["outcome"])
TASKS_QUEUED = Gauge(
    "broadcaster_tasks_queued", "tasks waiting", ["channel"], multiprocess_mode="livemostrecent"
)
OLDEST_QUEUED = Gauge(
    "broadcaster_oldest_queued_seconds",
    "how long the oldest of the tasks waiting has been waiting; 0 when none waits",
    ["channel"],
    multiprocess_mode="livemostrecent",
)
QUEUE_LIMIT = Gauge(
    "broadcaster_tasks_queue_limit",
    "tasks that may wait, over all channels; one more is refused",
    multiprocess_mode="livemostrecent",
)
TASK_BUCKETS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
TASK_SECONDS = Histogram(
    "broadcaster_task_seconds",
    "time a task spent in a phase (preparing, buffering, on_air)",
    ["phase"],
    buckets=TASK_BUCKETS_S,
)
QUEUE_SECONDS = Histogram(
    "broadcaster_queue_seconds",
    "time from accepting a task to beginning with it",
    ["channel"],
    buckets=TASK_BUCKETS_S,
)
PREVIEW_VIEWERS = Gauge(
    "broadcaster_preview_viewers",
    "browsers that watch now",
    ["channel"],
    multiprocess_mode="livemostrecent",
)
PREVIEW_SESSIONS = Counter("broadcaster_preview_sessions_total", "viewers let in", ["channel"])
PREVIEW_SOURCE_UP = Gauge(
    "broadcaster_preview_source_up",
    "1 while the preview receives the channel (only while somebody watches)",
    ["channel"],
    multiprocess_mode="livemostrecent",
)
PREVIEW_PICTURES = Counter(
    "broadcaster_preview_pictures_total", "pictures sent, over all viewers", ["channel"]
)
ACCESS_REFUSED = Counter(
    "broadcaster_access_refused_total",
    "requests refused, by reason (missing, unknown, expired, role, host, origin)",
    ["reason"],
)
RATE_LIMITED = Counter(
    "broadcaster_rate_limited_total",
    "requests refused because a caller asks too often, by limit (requests, speak)",
    ["limit"],
)
CALLBACKS = Counter(
    "broadcaster_callbacks_total",
    "attempts to deliver a callback, by outcome (delivered, retried, failed)",
    ["outcome"],
)
CALLBACKS_PENDING = Gauge(
    "broadcaster_callbacks_pending",
    "callbacks that are not delivered yet and not given up",
    multiprocess_mode="livemostrecent",
)
