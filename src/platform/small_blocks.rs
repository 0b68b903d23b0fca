//! The allocator of the component: it keeps small blocks for the next who asks for one of their
//! size.
//!
//! An action allocates 140 times, nearly always short texts that live as long as the request. The
//! allocator of `wasm32-wasip2` (dlmalloc) takes 320 instructions to allocate a block and to free
//! it, since it joins and splits blocks: a quarter of what the component did for an action. Here a
//! small block goes to a list of its size class, and from there to the next who asks for one. So it
//! is never joined with its neighbours, and memory that has been in small blocks stays there until
//! the instance ends.
//!
//! It is inlined into all that allocate, which makes the component a tenth larger. Calls would make
//! an action a sixth dearer for the component.
#![expect(unsafe_code, reason = "an allocator can't be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

/// The sizes of classes are multiples of this, in bytes.
const STEP: usize = 16;

/// How many classes there are.
const CLASSES: usize = 32;

/// The largest block that is kept, in bytes.
const LARGEST: usize = CLASSES * STEP;

/// What the blocks of a class are aligned to, in bytes: what [`System`] gives without a detour.
const ALIGNMENT: usize = 8;

/// Free blocks, one list for each class.
pub(crate) struct SmallBlocks([Cell<*mut FreeBlock>; CLASSES]);

/// The beginning of a free block: the next one in its list, or null.
struct FreeBlock(*mut FreeBlock);

// SAFETY: a component has one thread. Tests, which have several, share none of these.
unsafe impl Sync for SmallBlocks {}

impl SmallBlocks {
    /// No blocks yet.
    pub(crate) const fn new() -> Self {
        Self([const { Cell::new(ptr::null_mut()) }; CLASSES])
    }

    /// The list for blocks of this layout; `None` for those that are not kept.
    fn list(&self, layout: Layout) -> Option<&Cell<*mut FreeBlock>> {
        let class = layout.size().saturating_sub(1) / STEP;
        self.0.get(class).filter(|_| layout.align() <= ALIGNMENT)
    }

    /// What [`System`] is asked for: all blocks of a class have the same layout.
    fn rounded(layout: Layout) -> Layout {
        if layout.size() > LARGEST || layout.align() > ALIGNMENT {
            return layout;
        }
        let size = layout.size().max(1).next_multiple_of(STEP);
        Layout::from_size_align(size, ALIGNMENT).unwrap_or(layout)
    }

    /// A block that has been in no list. Out of line: there are hundreds of places that allocate.
    #[cold]
    #[inline(never)]
    fn fresh(layout: Layout) -> *mut u8 {
        // SAFETY: it is as large as what was asked for, which is not zero.
        unsafe { System.alloc(Self::rounded(layout)) }
    }
}

// SAFETY: a block is either in the hands of whoever allocated it or in the list of its class.
unsafe impl GlobalAlloc for SmallBlocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(free) = self.list(layout) {
            let block = free.get();
            if !block.is_null() {
                // SAFETY: a block in a list begins with a `FreeBlock`.
                free.set(unsafe { (*block).0 });
                return block.cast();
            }
        }
        Self::fresh(layout)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(free) = self.list(layout) else {
            // SAFETY: `System` knows it by this layout, which was not rounded.
            return unsafe { System.dealloc(block, layout) };
        };
        let block = block.cast::<FreeBlock>();
        // SAFETY: nobody uses it any more, and every block of a class has room for this.
        unsafe { block.write(FreeBlock(free.get())) };
        free.set(block);
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size` is valid with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (self.list(layout), self.list(wanted)) {
            // SAFETY: `System` knows it by this layout, and neither of the two is rounded.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (Some(old), Some(new)) if ptr::eq(old, new) => block,
            // SAFETY: the new block is another one, and holds as much of the old one as is copied.
            _ => unsafe {
                let moved = self.alloc(wanted);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What happens to one of a few blocks.
    #[derive(Debug, Clone)]
    enum Step {
        Allocate(Layout),
        Resize(usize, usize),
        Free(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let size = || prop_oneof![1..=LARGEST + 2 * STEP, 1..=4096usize];
        let layout = (size(), 0..6u32).prop_filter_map("no layout", |(size, align)| {
            Layout::from_size_align(size, 1 << align).ok()
        });
        prop_oneof![
            layout.prop_map(Step::Allocate),
            (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize(which, size)),
            any::<usize>().prop_map(Step::Free),
        ]
    }

    /// A block that was allocated, and the byte that it is filled with.
    struct Filled(*mut u8, Layout, u8);

    impl Filled {
        fn new(block: *mut u8, layout: Layout, byte: u8) -> Self {
            assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
            // SAFETY: it is a block of this layout.
            unsafe { block.write_bytes(byte, layout.size()) };
            Self(block, layout, byte)
        }

        fn holds(&self, length: usize) -> bool {
            // SAFETY: it has been filled.
            let bytes = unsafe { std::slice::from_raw_parts(self.0, length) };
            bytes.iter().all(|byte| *byte == self.2)
        }
    }

    proptest! {
        #[test]
        fn blocks_never_overlap(steps in prop::collection::vec(step(), 1..100)) {
            let allocator = SmallBlocks::new();
            let mut blocks: Vec<Filled> = Vec::new();
            for (step, byte) in steps.into_iter().zip((0..=u8::MAX).cycle()) {
                match step {
                    Step::Allocate(layout) => {
                        // SAFETY: its size is not zero.
                        let block = unsafe { allocator.alloc(layout) };
                        blocks.push(Filled::new(block, layout, byte));
                    }
                    Step::Resize(which, size) if !blocks.is_empty() => {
                        let old = blocks.swap_remove(which % blocks.len());
                        let Filled(block, layout, held) = old;
                        // SAFETY: it was allocated with this layout, and the size is not zero.
                        let block = unsafe { allocator.realloc(block, layout, size) };
                        let kept = layout.size().min(size);
                        prop_assert!(Filled(block, layout, held).holds(kept));
                        let layout = Layout::from_size_align(size, layout.align());
                        blocks.extend(layout.ok().map(|layout| Filled::new(block, layout, byte)));
                    }
                    Step::Free(which) if !blocks.is_empty() => {
                        let Filled(block, layout, _) = blocks.swap_remove(which % blocks.len());
                        // SAFETY: it was allocated with this layout.
                        unsafe { allocator.dealloc(block, layout) };
                    }
                    _ => {}
                }
                prop_assert!(blocks.iter().all(|block| block.holds(block.1.size())));
            }
            for Filled(block, layout, _) in blocks {
                // SAFETY: as above.
                unsafe { allocator.dealloc(block, layout) };
            }
        }
    }

    #[test]
    fn a_freed_block_goes_to_the_next_who_asks_for_its_size() -> Result<(), std::alloc::LayoutError>
    {
        let allocator = SmallBlocks::new();
        let (first, second) = (
            Layout::from_size_align(33, 1)?,
            Layout::from_size_align(48, 8)?,
        );
        // SAFETY: neither size is zero, and each block is freed with its layout.
        unsafe {
            let block = allocator.alloc(first);
            allocator.dealloc(block, first);
            assert_eq!(allocator.alloc(second), block);
            allocator.dealloc(block, second);
        }
        Ok(())
    }
}
