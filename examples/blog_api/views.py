"""What is read, as views: columns, joins and JSON are worked out from model and class."""

from datetime import datetime

from unslow.fast import Filter, Keyset, View

from .database import db
from .models import Comment, Lead, Order, Post, User
from .schemas import CommentOut, Feed, LeadOut, OrderOut, PostOut, PostSummary, UserOut
from .settings import settings

SECRET = settings.cursor_secret

users = View(
    UserOut,
    User,
    db,
    keyset=Keyset(User.id, secret=SECRET),
    filters={"city": User.city},
)

feeds = View(Feed, User, db)

posts = View(PostOut, Post, db)

post_list = View(
    PostSummary,
    Post,
    db,
    keyset=Keyset(Post.id, secret=SECRET),
    filters={
        "user_id": Post.user_id,
        "since": Filter(datetime, lambda since: Post.created_at >= since),
    },
)

comments = View(
    CommentOut,
    Comment,
    db,
    keyset=Keyset(Comment.id, secret=SECRET),
    filters={"post_id": Comment.post_id},
)

orders = View(OrderOut, Order, db)

leads = View(
    LeadOut,
    Lead,
    db,
    keyset=Keyset(Lead.created_at.desc(), Lead.id.desc(), secret=SECRET),
    filters={"source": Lead.source},
)
