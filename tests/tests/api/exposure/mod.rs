//! What anybody may send who reaches the port: that it costs little and changes nothing.

mod cost;
mod cross_site;
mod queries;
mod readers;
