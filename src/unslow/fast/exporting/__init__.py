"""Long answers, streamed in constant memory."""
