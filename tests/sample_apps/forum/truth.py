"""What is wrong with the forum's endpoints."""

from ..truth import Planted

PLANTED = (
    Planted("GET /threads", "repeated-query", "threads.py", "ThreadStore.author"),
    Planted("GET /boards/activity", "repeated-query", "threads.py", "activity"),
    Planted("GET /boards/{board_id}/sidebar", "cartesian-join", "threads.py", "sidebar"),
    Planted("GET /threads/{thread_id}/preview", "pool-wait", "threads.py", "preview"),
    Planted(
        "GET /threads/{thread_id}/translated",
        "held-connection",
        "threads.py",
        "translated",
        touched=("threads.py", "translation"),
    ),
    Planted("GET /threads/{thread_id}/print", "connection-per-request", "threads.py", "printable"),
    Planted("GET /boards/{board_id}/dump", "large-response", "threads.py", "dump"),
    Planted("GET /boards/{board_id}/dump", "uncompressed-response", "threads.py", "dump"),
    Planted("GET /posts", "deep-offset", "posts.py", "page_of_posts"),
    Planted("GET /authors/{author_id}/posts", "literal-in-sql", "posts.py", "posts_by_author"),
    Planted("GET /trending", "slow-statement", "posts.py", "trending"),
    Planted("GET /similar", "long-step", "posts.py", "closest"),
    Planted("GET /members", "unbounded-list", "people.py", "all_members"),
    Planted("GET /inbox", "duplicate-query", "people.py", "member_with"),
    Planted("GET /profile", "side-effect-in-request", "people.py", "seen_member"),
)

ARGUABLE = (
    # What skips rows is also what takes the time.
    ("GET /posts", "slow-statement"),
    # The document is read whole from the database, which is most of the work.
    ("GET /boards/{board_id}/dump", "slow-statement"),
)

INNOCENT = (
    "GET /threads/latest",
    "GET /boards/figures",
    "GET /tags",
    "GET /boards/{board_id}/margin",
    "GET /boards/{board_id}/export",
    "GET /threads/{thread_id}/glance",
    "GET /threads/{thread_id}/meaning",
    "GET /posts/front",
    "GET /posts/after",
    "GET /authors/{author_id}/threads",
    "POST /posts",
    "POST /posts/several",
    "GET /similar/newest",
    "GET /similar/gentle",
    "GET /similar/beside",
    "GET /members/page",
    "GET /members/some",
    "GET /members/statistics",
    "GET /inbox/short",
    "GET /profile/quiet",
    "POST /inbox/read",
)
