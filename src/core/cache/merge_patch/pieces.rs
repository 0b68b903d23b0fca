//! A list in pieces: it grows without moving what is in it, and no part of it is long to make or
//! to drop.

/// How many items a piece has.
const PIECE: usize = 2048;

/// A list that only grows.
pub(super) struct Pieces<T> {
    pieces: Vec<Vec<T>>,
    length: usize,
}

impl<T: Copy> Pieces<T> {
    pub(super) const fn new() -> Self {
        Self {
            pieces: Vec::new(),
            length: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, item: T) {
        if self.length.is_multiple_of(PIECE) {
            self.pieces.push(Vec::new());
        }
        if let Some(last) = self.pieces.last_mut() {
            last.push(item);
            self.length += 1;
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<T> {
        let piece = self.pieces.get(index / PIECE)?;
        piece.get(index % PIECE).copied()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let piece = self.pieces.get_mut(index / PIECE)?;
        piece.get_mut(index % PIECE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_where_they_were_put() {
        let mut list = Pieces::new();
        for item in 0..2 * PIECE + 1 {
            list.push(item);
        }
        assert_eq!(list.len(), 2 * PIECE + 1);
        for index in [0, PIECE - 1, PIECE, 2 * PIECE] {
            assert_eq!(list.get(index), Some(index));
        }
        assert_eq!(list.get(2 * PIECE + 1), None);
        if let Some(item) = list.get_mut(PIECE) {
            *item = 0;
        }
        assert_eq!(list.get(PIECE), Some(0));
    }
}
