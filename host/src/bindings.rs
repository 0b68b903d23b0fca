//! The host side of `wit/`, generated: `spin:redis@3.0.0` and `spin:variables@3.0.0`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "imports",
    // Every function gets an `Accessor` instead of `&mut` to the store, so that the requests of an instance
    // wait for Redis at the same time and not one after the other.
    imports: { default: async | store },
});

pub(crate) use spin::redis::redis;
pub(crate) use spin::variables::variables;
