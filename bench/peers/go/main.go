// The peers `go` and `go-batched`: net/http, encoding/json and pgx.
//
//	go-peer plain | batched
//
// With `batched`, look-ups by key and inserts that come while others are on their way go together.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

type user struct {
	ID        int32     `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	City      string    `json:"city"`
	CreatedAt time.Time `json:"created_at"`
}

type comment struct {
	ID     int32  `json:"id"`
	Author string `json:"author"`
	Body   string `json:"body"`
}

type feedPost struct {
	ID        int32     `json:"id"`
	Title     string    `json:"title"`
	CreatedAt time.Time `json:"created_at"`
	Comments  []comment `json:"comments"`
}

type feed struct {
	ID    int32      `json:"id"`
	Name  string     `json:"name"`
	Posts []feedPost `json:"posts"`
}

type post struct {
	ID        int32     `json:"id"`
	UserID    int32     `json:"user_id"`
	Title     string    `json:"title"`
	CreatedAt time.Time `json:"created_at"`
}

type page struct {
	Items []post  `json:"items"`
	Next  *string `json:"next"`
}

type event struct {
	Key     string          `json:"key"`
	Kind    string          `json:"kind"`
	Payload json.RawMessage `json:"payload"`
}

func (e event) validate() error {
	switch {
	case e.Key == "":
		return errors.New("key is missing")
	case e.Kind == "" || utf8.RuneCountInString(e.Kind) > 50:
		return errors.New("kind has 1 to 50 characters")
	case len(e.Payload) == 0 || e.Payload[0] != '{':
		return errors.New("payload is an object")
	}
	return nil
}

// store is what the two peers do differently; what is not found is pgx.ErrNoRows.
type store interface {
	user(ctx context.Context, id int32) (user, error)
	feed(ctx context.Context, id int32) (feed, error)
	insert(ctx context.Context, e event) error
}

type plainStore struct{ pool *pgxpool.Pool }

func (s plainStore) user(ctx context.Context, id int32) (user, error) {
	var u user
	err := s.pool.QueryRow(ctx,
		"SELECT id, name, email, city, created_at FROM users WHERE id = $1", id,
	).Scan(&u.ID, &u.Name, &u.Email, &u.City, &u.CreatedAt)
	return u, err
}

func (s plainStore) feed(ctx context.Context, id int32) (feed, error) {
	f := feed{Posts: []feedPost{}}
	err := s.pool.QueryRow(ctx, "SELECT id, name FROM users WHERE id = $1", id).Scan(&f.ID, &f.Name)
	if err != nil {
		return f, err
	}
	rows, err := s.pool.Query(ctx,
		"SELECT id, title, created_at FROM posts WHERE user_id = $1 ORDER BY id", id)
	if err != nil {
		return f, err
	}
	defer rows.Close()
	var ids []int32
	place := map[int32]int{}
	for rows.Next() {
		p := feedPost{Comments: []comment{}}
		if err := rows.Scan(&p.ID, &p.Title, &p.CreatedAt); err != nil {
			return f, err
		}
		place[p.ID] = len(f.Posts)
		ids = append(ids, p.ID)
		f.Posts = append(f.Posts, p)
	}
	if err := rows.Err(); err != nil {
		return f, err
	}
	comments, err := s.pool.Query(ctx,
		"SELECT id, post_id, author, body FROM comments WHERE post_id = ANY($1) ORDER BY id", ids)
	if err != nil {
		return f, err
	}
	defer comments.Close()
	for comments.Next() {
		var c comment
		var postID int32
		if err := comments.Scan(&c.ID, &postID, &c.Author, &c.Body); err != nil {
			return f, err
		}
		p := &f.Posts[place[postID]]
		p.Comments = append(p.Comments, c)
	}
	return f, comments.Err()
}

func (s plainStore) insert(ctx context.Context, e event) error {
	_, err := s.pool.Exec(ctx,
		"INSERT INTO events (key, kind, payload) VALUES ($1, $2, $3)",
		e.Key, e.Kind, string(e.Payload))
	return err
}

type batchedStore struct {
	pool    *pgxpool.Pool
	users   gatherer[int32, user]
	feeds   gatherer[int32, feed]
	inserts gatherer[*event, error]
}

func newBatchedStore(pool *pgxpool.Pool) *batchedStore {
	s := &batchedStore{pool: pool}
	s.users = newGatherer(s.readUsers)
	s.feeds = newGatherer(s.readFeeds)
	s.inserts = newGatherer(s.insertEvents)
	return s
}

func (s *batchedStore) user(ctx context.Context, id int32) (user, error) {
	return s.users.get(ctx, id)
}

func (s *batchedStore) feed(ctx context.Context, id int32) (feed, error) {
	return s.feeds.get(ctx, id)
}

func (s *batchedStore) insert(ctx context.Context, e event) error {
	failed, err := s.inserts.get(ctx, &e)
	if err != nil {
		return err
	}
	return failed
}

func (s *batchedStore) readUsers(ctx context.Context, ids []int32) (map[int32]user, error) {
	rows, err := s.pool.Query(ctx,
		"SELECT id, name, email, city, created_at FROM users WHERE id = ANY($1)", ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[int32]user, len(ids))
	for rows.Next() {
		var u user
		if err := rows.Scan(&u.ID, &u.Name, &u.Email, &u.City, &u.CreatedAt); err != nil {
			return nil, err
		}
		found[u.ID] = u
	}
	return found, rows.Err()
}

func (s *batchedStore) readFeeds(ctx context.Context, ids []int32) (map[int32]feed, error) {
	found := make(map[int32]feed, len(ids))
	users, err := s.pool.Query(ctx, "SELECT id, name FROM users WHERE id = ANY($1)", ids)
	if err != nil {
		return nil, err
	}
	defer users.Close()
	for users.Next() {
		f := feed{Posts: []feedPost{}}
		if err := users.Scan(&f.ID, &f.Name); err != nil {
			return nil, err
		}
		found[f.ID] = f
	}
	if err := users.Err(); err != nil {
		return nil, err
	}
	type spot struct {
		userID int32
		place  int
	}
	var postIDs []int32
	spots := map[int32]spot{}
	posts, err := s.pool.Query(ctx,
		"SELECT id, user_id, title, created_at FROM posts WHERE user_id = ANY($1) ORDER BY id", ids)
	if err != nil {
		return nil, err
	}
	defer posts.Close()
	for posts.Next() {
		p := feedPost{Comments: []comment{}}
		var userID int32
		if err := posts.Scan(&p.ID, &userID, &p.Title, &p.CreatedAt); err != nil {
			return nil, err
		}
		f, ok := found[userID]
		if !ok {
			continue // The user came between the two statements.
		}
		spots[p.ID] = spot{userID, len(f.Posts)}
		postIDs = append(postIDs, p.ID)
		f.Posts = append(f.Posts, p)
		found[userID] = f
	}
	if err := posts.Err(); err != nil {
		return nil, err
	}
	comments, err := s.pool.Query(ctx,
		"SELECT id, post_id, author, body FROM comments WHERE post_id = ANY($1) ORDER BY id", postIDs)
	if err != nil {
		return nil, err
	}
	defer comments.Close()
	for comments.Next() {
		var c comment
		var postID int32
		if err := comments.Scan(&c.ID, &postID, &c.Author, &c.Body); err != nil {
			return nil, err
		}
		at := spots[postID]
		p := &found[at.userID].Posts[at.place]
		p.Comments = append(p.Comments, c)
	}
	return found, comments.Err()
}

// insertEvents writes all of them in one statement, and each alone where that fails: one bad event
// is not to fail the others.
func (s *batchedStore) insertEvents(ctx context.Context, events []*event) (map[*event]error, error) {
	keys, kinds, payloads := make([]string, len(events)), make([]string, len(events)), make([]string, len(events))
	failed := make(map[*event]error, len(events))
	for i, e := range events {
		keys[i], kinds[i], payloads[i] = e.Key, e.Kind, string(e.Payload)
		failed[e] = nil
	}
	_, err := s.pool.Exec(ctx,
		`INSERT INTO events (key, kind, payload)
		SELECT key, kind, payload::jsonb FROM unnest($1::text[], $2::text[], $3::text[])
			AS given (key, kind, payload)`,
		keys, kinds, payloads)
	if err == nil {
		return failed, nil
	}
	for _, e := range events {
		failed[e] = plainStore{s.pool}.insert(ctx, *e)
	}
	return failed, nil
}

const (
	maxKeys = 500
	workers = 2
)

type answer[V any] struct {
	value V
	err   error
}

type ask[K comparable, V any] struct {
	key    K
	answer chan answer[V]
}

// gatherer reads many keys at once: all that come while its workers are busy go together.
type gatherer[K comparable, V any] struct{ asks chan ask[K, V] }

func newGatherer[K comparable, V any](
	read func(context.Context, []K) (map[K]V, error),
) gatherer[K, V] {
	g := gatherer[K, V]{make(chan ask[K, V])}
	for i := 0; i < workers; i++ {
		go g.work(read)
	}
	return g
}

func (g gatherer[K, V]) get(ctx context.Context, key K) (V, error) {
	// It has room for the answer, so that a worker never waits for one who left.
	mine := ask[K, V]{key, make(chan answer[V], 1)}
	var none V
	select {
	case g.asks <- mine:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case got := <-mine.answer:
		return got.value, got.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func (g gatherer[K, V]) work(read func(context.Context, []K) (map[K]V, error)) {
	for first := range g.asks {
		batch := []ask[K, V]{first}
		keys := []K{first.key}
	gather:
		for len(batch) < maxKeys {
			select {
			case next := <-g.asks:
				batch = append(batch, next)
				keys = append(keys, next.key)
			default:
				break gather
			}
		}
		found, err := read(context.Background(), keys)
		for _, one := range batch {
			value, ok := found[one.key]
			if err == nil && !ok {
				one.answer <- answer[V]{value, pgx.ErrNoRows}
			} else {
				one.answer <- answer[V]{value, err}
			}
		}
	}
}

type server struct {
	pool  *pgxpool.Pool
	store store
}

func (s server) users(w http.ResponseWriter, r *http.Request) {
	key, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/users/"), "/")
	id, err := strconv.ParseInt(key, 10, 32)
	if err != nil || (rest != "" && rest != "feed") {
		http.NotFound(w, r)
		return
	}
	if rest == "feed" {
		found, err := s.store.feed(r.Context(), int32(id))
		respond(w, http.StatusOK, found, err)
		return
	}
	found, err := s.store.user(r.Context(), int32(id))
	respond(w, http.StatusOK, found, err)
}

func (s server) posts(w http.ResponseWriter, r *http.Request) {
	after, err := number(r, "after", 0)
	limit, limitErr := number(r, "limit", 100)
	if err != nil || limitErr != nil || limit < 1 || limit > 100 {
		http.Error(w, "after and limit are numbers, limit from 1 to 100", http.StatusBadRequest)
		return
	}
	found, err := s.page(r.Context(), after, limit)
	respond(w, http.StatusOK, found, err)
}

func number(r *http.Request, name string, otherwise int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	return strconv.Atoi(text)
}

func (s server) page(ctx context.Context, after, limit int) (page, error) {
	found := page{Items: make([]post, 0, limit)}
	rows, err := s.pool.Query(ctx,
		"SELECT id, user_id, title, created_at FROM posts WHERE id > $1 ORDER BY id LIMIT $2",
		after, limit)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for rows.Next() {
		var p post
		if err := rows.Scan(&p.ID, &p.UserID, &p.Title, &p.CreatedAt); err != nil {
			return found, err
		}
		found.Items = append(found.Items, p)
	}
	if count := len(found.Items); count > 0 {
		next := strconv.Itoa(int(found.Items[count-1].ID))
		found.Next = &next
	}
	return found, rows.Err()
}

func (s server) events(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST", http.StatusMethodNotAllowed)
		return
	}
	var e event
	err := json.NewDecoder(r.Body).Decode(&e)
	if err == nil {
		err = e.validate()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	err = s.store.insert(r.Context(), e)
	respond(w, http.StatusCreated, map[string]string{"key": e.Key}, err)
}

func respond(w http.ResponseWriter, status int, value any, err error) {
	if errors.Is(err, pgx.ErrNoRows) {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if err != nil {
		log.Print(err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Print(err)
	}
}

func main() {
	time.Local = time.UTC // pgx gives times in the local zone.
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	size, err := strconv.Atoi(os.Getenv("POOL_SIZE"))
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = int32(size)
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	s := server{pool: pool, store: plainStore{pool}}
	if len(os.Args) > 1 && os.Args[1] == "batched" {
		s.store = newBatchedStore(pool)
	}
	http.HandleFunc("/users/", s.users)
	http.HandleFunc("/posts", s.posts)
	http.HandleFunc("/events", s.events)
	log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%s", os.Getenv("PORT")), nil))
}
