//! The host side of `wit/`, generated: `spin:redis@3.0.0`, `spin:variables@3.0.0`,
//! `wasi:config@0.2.0-draft-2024-09-27` and `wasi:otel@0.2.0-rc.2`.

wasmtime::component::bindgen!({
    path: ["../wit", "wit"],
    world: "edgelatch:host/imports",
    // Functions get an `Accessor` instead of `&mut` to the store, so that the requests of an
    // instance wait for Redis concurrently.
    imports: {
        // It never waits. It needs the store, to find the calling request, and it traps on the end
        // of a span that was never started.
        "wasi:otel/tracing": store | trappable,
        // Blocks the whole instance while it waits, as on Spin.
        "wasi:config/store": async,
        default: async | store,
    },
    with: { "wasi:clocks/wall-clock": wasmtime_wasi::p2::bindings::clocks::wall_clock },
});

pub(crate) use spin::redis::redis;
pub(crate) use spin::variables::variables;
pub(crate) use wasi::config::store;
pub(crate) use wasi::otel::{tracing, types as otel_types};
