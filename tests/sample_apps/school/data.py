"""The school's tables and rows."""

from ..filling import rebuild

FORMS_COUNT = 48
LESSONS_COUNT = 2400
MARKS_COUNT = 9600
PUPILS_COUNT = 960
TEACHERS_COUNT = 60
YEARS = tuple(range(2012, 2026))

SCRIPT = f"""
CREATE TABLE forms (id int PRIMARY KEY, name text NOT NULL, room text NOT NULL);
CREATE TABLE pupils (
    id int PRIMARY KEY, name text NOT NULL, form_id int NOT NULL, born_on date NOT NULL);
CREATE TABLE teachers (id int PRIMARY KEY, name text NOT NULL, subject text NOT NULL);
CREATE TABLE lessons (
    id int PRIMARY KEY, teacher_id int NOT NULL, form_id int NOT NULL, day int NOT NULL,
    begins int NOT NULL, ends int NOT NULL, room text NOT NULL);
CREATE TABLE subjects (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE marks (
    id int PRIMARY KEY, pupil_id int NOT NULL, subject_id int NOT NULL, points int NOT NULL,
    given_on date NOT NULL);
CREATE TABLE notices (id serial PRIMARY KEY, title text NOT NULL, text text NOT NULL);
CREATE TABLE archive (year int PRIMARY KEY, document jsonb NOT NULL);

INSERT INTO forms SELECT n, 'Form ' || n, 'R' || n FROM generate_series(1, {FORMS_COUNT}) n;
INSERT INTO pupils
SELECT n, 'Pupil ' || n, 1 + n % {FORMS_COUNT}, date '2010-01-01' + n
FROM generate_series(1, {PUPILS_COUNT}) n;
INSERT INTO teachers
SELECT n, 'Teacher ' || n, 'Subject ' || n % 14 FROM generate_series(1, {TEACHERS_COUNT}) n;
INSERT INTO lessons
SELECT n, 1 + n % {TEACHERS_COUNT}, 1 + n % {FORMS_COUNT}, n % 5, 480 + n * 7 % 400,
       525 + n * 7 % 400, 'R' || n % 12
FROM generate_series(1, {LESSONS_COUNT}) n;
INSERT INTO subjects SELECT n, 'Subject ' || n FROM generate_series(1, 14) n;
INSERT INTO marks
SELECT n, 1 + n % {PUPILS_COUNT}, 1 + n % 14, n % 16, date '2026-01-10' + n % 90
FROM generate_series(1, {MARKS_COUNT}) n;
INSERT INTO notices (title, text)
SELECT 'Notice ' || n, 'Please read carefully, number ' || n FROM generate_series(1, 300) n;
INSERT INTO archive
SELECT year, (
    SELECT jsonb_agg(jsonb_build_object(
        'number', n, 'title', 'Record ' || n * year, 'pages', n % 40, 'kept', n % 3 = 0,
        'tags', jsonb_build_array('year', year, 'box', n % 50)))
    FROM generate_series(1, 2800) n)
FROM generate_series({YEARS[0]}, {YEARS[-1]}) year;

CREATE INDEX ON pupils (form_id);
CREATE INDEX ON lessons (teacher_id);
CREATE INDEX ON lessons (form_id);
CREATE INDEX ON lessons (day);
CREATE INDEX ON marks (pupil_id, subject_id);
CREATE INDEX ON marks (given_on, id);
"""


def prepare(database_url: str) -> None:
    """Makes the schema `school` anew."""
    rebuild(database_url, "school", SCRIPT)
