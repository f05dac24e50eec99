"""The clinic's tables and rows."""

from ..filling import rebuild

APPOINTMENTS_COUNT = 3000
DEPARTMENTS_COUNT = 60
DOCTORS_COUNT = 120
LETTER_WRITERS_COUNT = 30
PATIENTS_COUNT = 1500

SCRIPT = f"""
CREATE TABLE departments (id int PRIMARY KEY, name text NOT NULL, parent_id int);
CREATE TABLE doctors (id int PRIMARY KEY, name text NOT NULL, department_id int NOT NULL);
CREATE TABLE patients (
    id int PRIMARY KEY, name text NOT NULL, born_on date NOT NULL, city text NOT NULL);
CREATE TABLE appointments (
    id serial PRIMARY KEY, patient_id int NOT NULL, doctor_id int NOT NULL,
    starts_at timestamp NOT NULL, status text NOT NULL);
CREATE TABLE letters (
    id int PRIMARY KEY, patient_id int NOT NULL, subject text NOT NULL, body text NOT NULL);
CREATE TABLE visits (
    id int PRIMARY KEY, patient_id int NOT NULL, visited_on date NOT NULL, complaint text NOT NULL,
    history text NOT NULL, examination text NOT NULL, diagnosis text NOT NULL,
    therapy text NOT NULL, advice text NOT NULL, weight_grams int NOT NULL, pulse int NOT NULL,
    pressure text NOT NULL);
CREATE TABLE invoices (
    id int PRIMARY KEY, patient_id int NOT NULL, cents int NOT NULL, is_paid bool NOT NULL);
CREATE TABLE rooms (id int PRIMARY KEY, number text NOT NULL, floor int NOT NULL);
CREATE TABLE beds (id int PRIMARY KEY, room_id int NOT NULL, label text NOT NULL);
CREATE TABLE samples (
    id serial PRIMARY KEY, patient_id int NOT NULL, kind text NOT NULL, millilitres int NOT NULL);
CREATE TABLE record_accesses (id serial PRIMARY KEY, patient_id int NOT NULL, reader text NOT NULL);

INSERT INTO departments
SELECT n, 'Department ' || n, CASE WHEN n > 3 THEN n / 6 + 1 END
FROM generate_series(1, {DEPARTMENTS_COUNT}) n;
INSERT INTO doctors
SELECT n, 'Doctor ' || n, 1 + n % {DEPARTMENTS_COUNT} FROM generate_series(1, {DOCTORS_COUNT}) n;
INSERT INTO patients
SELECT n, 'Patient ' || n, date '1950-01-01' + n * 13, 'City ' || n % 3
FROM generate_series(1, {PATIENTS_COUNT}) n;
INSERT INTO appointments (patient_id, doctor_id, starts_at, status)
SELECT 1 + n * 7 % {PATIENTS_COUNT}, 1 + n % {DOCTORS_COUNT},
       timestamp '2026-01-05 08:00' + n * interval '20 minutes',
       (ARRAY['planned', 'confirmed', 'done'])[1 + n % 3]
FROM generate_series(1, {APPOINTMENTS_COUNT}) n;
INSERT INTO letters
SELECT n, 1 + n % {LETTER_WRITERS_COUNT}, 'Letter ' || n, repeat('Dear colleague, ', 200)
FROM generate_series(1, {LETTER_WRITERS_COUNT * 60}) n;
INSERT INTO visits
SELECT n, 1 + n % {PATIENTS_COUNT}, date '2026-01-05' + n % 300, repeat('complaint ', 40),
       repeat('history ', 90), repeat('examination ', 90), repeat('diagnosis ', 40),
       repeat('therapy ', 60), repeat('advice ', 60), 50000 + n, 60 + n % 40, '120/80'
FROM generate_series(1, 2000) n;
INSERT INTO invoices
SELECT n, 1 + n % {PATIENTS_COUNT}, 1000 + n % 9000, n % 5 = 0
FROM generate_series(1, {PATIENTS_COUNT}) n;
INSERT INTO rooms SELECT n, 'R' || n, n % 6 FROM generate_series(1, 300) n;
INSERT INTO beds SELECT n, 1 + n % 300, 'Bed ' || n FROM generate_series(1, 900) n;

CREATE INDEX ON doctors (department_id);
CREATE INDEX ON appointments (doctor_id);
CREATE INDEX ON appointments (patient_id);
CREATE INDEX ON appointments (starts_at);
CREATE INDEX ON letters (patient_id);
CREATE INDEX ON visits (patient_id);
CREATE INDEX ON invoices (patient_id);
CREATE INDEX ON beds (room_id);
"""


def prepare(database_url: str) -> None:
    """Makes the schema `clinic` anew."""
    rebuild(database_url, "clinic", SCRIPT)
