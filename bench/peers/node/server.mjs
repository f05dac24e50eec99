// The peer `node`: fastify with response schemas, and pg with named (prepared) statements.
import Fastify from 'fastify'
import pg from 'pg'

// As text, in the form that JSON has: a Date would be made only to be written again.
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) =>
  text.replace(' ', 'T').replace('+00', 'Z'),
)
const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.POOL_SIZE),
  options: '-c timezone=UTC',
})
const app = Fastify()

const integer = { type: 'integer' }
const string = { type: 'string' }
const object = (properties) => ({ type: 'object', properties })
const array = (items) => ({ type: 'array', items })
const answers = (schema) => ({ response: { 200: schema } })

const user = object({ id: integer, name: string, email: string, city: string, created_at: string })
const comment = object({ id: integer, author: string, body: string })
const feedPost = object({ id: integer, title: string, created_at: string, comments: array(comment) })
const feed = object({ id: integer, name: string, posts: array(feedPost) })
const post = object({ id: integer, user_id: integer, title: string, created_at: string })
const page = object({ items: array(post), next: { type: 'string', nullable: true } })
const key = { params: object({ id: integer }) }

app.get('/users/:id', { schema: { ...key, ...answers(user) } }, async (request, reply) => {
  const { rows } = await pool.query({
    name: 'user',
    text: 'SELECT id, name, email, city, created_at FROM users WHERE id = $1',
    values: [request.params.id],
  })
  return rows[0] ?? reply.code(404).send()
})

app.get('/users/:id/feed', { schema: { ...key, ...answers(feed) } }, async (request, reply) => {
  const values = [request.params.id]
  const client = await pool.connect()
  try {
    const users = await client.query({
      name: 'feed-user',
      text: 'SELECT id, name FROM users WHERE id = $1',
      values,
    })
    if (users.rows.length === 0) return reply.code(404).send()
    const posts = await client.query({
      name: 'feed-posts',
      text: 'SELECT id, title, created_at FROM posts WHERE user_id = $1 ORDER BY id',
      values,
    })
    const comments = await client.query({
      name: 'feed-comments',
      text: 'SELECT id, post_id, author, body FROM comments WHERE post_id = ANY($1) ORDER BY id',
      values: [posts.rows.map((one) => one.id)],
    })
    const byId = new Map()
    for (const one of posts.rows) byId.set(one.id, (one.comments = []))
    for (const one of comments.rows) byId.get(one.post_id).push(one)
    return { ...users.rows[0], posts: posts.rows }
  } finally {
    client.release()
  }
})

const query = object({
  after: { ...integer, default: 0 },
  limit: { ...integer, minimum: 1, maximum: 100, default: 100 },
})
app.get('/posts', { schema: { querystring: query, ...answers(page) } }, async (request) => {
  const { rows } = await pool.query({
    name: 'posts',
    text: 'SELECT id, user_id, title, created_at FROM posts WHERE id > $1 ORDER BY id LIMIT $2',
    values: [request.query.after, request.query.limit],
  })
  return { items: rows, next: rows.length ? String(rows.at(-1).id) : null }
})

const event = {
  ...object({ key: string, kind: { type: 'string', maxLength: 50 }, payload: { type: 'object' } }),
  required: ['key', 'kind', 'payload'],
}
app.post('/events', { schema: { body: event } }, async (request, reply) => {
  const { key, kind, payload } = request.body
  await pool.query({
    name: 'event',
    text: 'INSERT INTO events (key, kind, payload) VALUES ($1, $2, $3)',
    values: [key, kind, payload],
  })
  return reply.code(201).send({ key })
})

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
