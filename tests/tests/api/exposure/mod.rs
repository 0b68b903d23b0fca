//! What anybody may send who reaches the port: that it costs little and changes nothing.

mod cross_site;
mod differential;
mod floods;
mod hanging_up;
mod host_log;
mod made_up;
mod queries;
mod readers;
