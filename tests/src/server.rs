//! Servers of a test's own on 127.0.0.1.

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server on a port of 127.0.0.1. It stops on drop.
pub(crate) struct LocalServer {
    port: u16,
    task: JoinHandle<()>,
}

impl LocalServer {
    /// Listens on a free port and hands the listener to `serve`.
    pub(crate) async fn start<F>(serve: impl FnOnce(TcpListener) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_at(0, serve).await
    }

    /// Listens on this port and hands the listener to `serve`.
    pub(crate) async fn start_at<F>(port: u16, serve: impl FnOnce(TcpListener) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(serve(listener));
        Self { port, task }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Stops it. When this returns, nothing listens on the port.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves these routes over HTTP.
pub(crate) async fn serve_routes(listener: TcpListener, router: Router) {
    axum::serve(listener, router).await.unwrap();
}

/// The address of a server on 127.0.0.1.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
