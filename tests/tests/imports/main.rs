//! Imports: dropped files, from the event to the report, on the real adapters.
#![expect(clippy::expect_used, reason = "a test stops at the first thing it did not expect")]

mod asked;
mod cost;
mod desk;
mod events;
mod form;
mod interrupted;
mod met;
mod people;
mod release;
mod samples;
mod settings;
mod shortage;
mod stage;
mod status;
mod undo;
