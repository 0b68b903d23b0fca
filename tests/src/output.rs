//! What a process has printed.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The lines that a process writes to stdout and stderr, in the order of their arrival.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<(Mutex<Gathered>, Condvar)>);

#[derive(Default)]
struct Gathered {
    text: String,
    open: usize,
}

impl Output {
    /// Reads `stream` to its end, in the background.
    pub(crate) fn gather(&self, stream: impl Read + Send + 'static) {
        self.0.0.lock().unwrap().open += 1;
        let output = self.clone();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            while lines
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let (gathered, changed) = &*output.0;
                gathered.lock().unwrap().text += &String::from_utf8_lossy(&line);
                changed.notify_all();
                line.clear();
            }
            let (gathered, changed) = &*output.0;
            gathered.lock().unwrap().open -= 1;
            changed.notify_all();
        });
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    /// Waits until `find` finds something in the output. Returns `None` if the process has closed
    /// its output or `limit` has passed.
    pub(crate) fn wait_for<T>(
        &self,
        limit: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + limit;
        let (gathered, changed) = &*self.0;
        let mut guard = gathered.lock().unwrap();
        loop {
            if let Some(found) = find(&guard.text) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || guard.open == 0 {
                return None;
            }
            guard = changed.wait_timeout(guard, left).unwrap().0;
        }
    }
}
