"""What is wrong with the clinic's endpoints."""

from ..truth import Planted

PLANTED = (
    Planted("GET /appointments", "lazy-load-loop", "appointments.py", "appointments_of_day"),
    Planted(
        "POST /appointments/confirm",
        "lazy-load-loop",
        "appointments.py",
        "confirm_appointments",
        touched=("appointments.py", "line_of"),
    ),
    Planted(
        "POST /appointments/{appointment_id}/remind",
        "side-effect-in-request",
        "appointments.py",
        "deliver",
    ),
    Planted("GET /patients/recent", "discarded-rows", "patients.py", "recent_patients"),
    Planted("GET /patients/count", "discarded-rows", "patients.py", "count_patients"),
    Planted("GET /patients/register", "entity-response", "patients.py", "register"),
    Planted("GET /patients/roster", "double-validation", "patients.py", "roster"),
    Planted(
        "GET /patients/{patient_id}/letters",
        "lazy-load-loop",
        "patients.py",
        "letters_of_patient",
        touched=("patients.py", "excerpt_of"),
    ),
    Planted(
        "GET /patients/{patient_id}/record", "side-effect-in-request", "patients.py", "open_record"
    ),
    Planted("GET /visits/timeline", "unused-columns", "visits.py", "timeline"),
    Planted("POST /samples/enter", "repeated-query", "visits.py", "enter_samples"),
    Planted("POST /samples/label", "repeated-query", "visits.py", "label_samples"),
    Planted(
        "GET /doctors/workload",
        "lazy-load-loop",
        "house.py",
        "workload_of_doctors",
        touched=("tables.py", "Doctor.open_count"),
    ),
    Planted("GET /departments/occupancy", "repeated-query", "house.py", "occupancy"),
    Planted("GET /rooms", "unused-relationship", "house.py", "rooms_of_floor"),
    Planted("GET /invoices", "unbounded-list", "house.py", "list_invoices"),
    Planted("GET /invoices", "entity-response", "house.py", "list_invoices"),
)

ARGUABLE: tuple[tuple[str, str], ...] = ()

INNOCENT = (
    "GET /appointments/board",
    "POST /appointments",
    "POST /appointments/{appointment_id}/notify",
    "GET /patients/newest",
    "GET /patients/number",
    "GET /patients/directory",
    "GET /patients/roster/document",
    "GET /patients/{patient_id}/correspondence",
    "GET /visits/calendar",
    "GET /visits/journal",
    "GET /visits/{visit_id}/date",
    "POST /samples/import",
    "GET /doctors/rota",
    "GET /departments/census",
    "GET /departments/{department_id}/path",
    "GET /rooms/{room_id}/sign",
    "GET /invoices/outstanding",
    "GET /invoices/debts",
)
