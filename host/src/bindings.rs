//! The host side of `wit/`, generated: `spin:redis@3.0.0` and `spin:variables@3.0.0`, `wasi:config@0.2.0-draft-2024-09-27` and `wasi:otel@0.2.0-rc.2`.

wasmtime::component::bindgen!({
    path: ["../wit", "wit"],
    world: "edgelatch:host/imports",
    // Every function gets an `Accessor` instead of `&mut` to the store, so that the requests of an instance
    // wait for Redis at the same time and not one after the other.
    imports: {
        // It waits for nothing, asks which request called, and traps on a span that was never started.
        "wasi:otel/tracing": store | trappable,
        // A plain function: the whole instance waits for it, as it does on Spin.
        "wasi:config/store": async,
        default: async | store,
    },
    with: { "wasi:clocks/wall-clock": wasmtime_wasi::p2::bindings::clocks::wall_clock },
});

pub(crate) use spin::redis::redis;
pub(crate) use spin::variables::variables;
pub(crate) use wasi::config::store;
pub(crate) use wasi::otel::{tracing, types as otel_types};
