//! A list with a selected row that stays the same thing when rows come, go and change places.

/// What is selected in a list, and what of the list is on screen.
#[derive(Clone, Debug)]
pub(crate) struct List<K> {
    /// The selected row.
    pub at: usize,
    /// The first row on screen.
    pub top: usize,
    /// How many rows there are.
    pub len: usize,
    /// How many fit on the screen; known after the first drawing.
    pub room: usize,
    /// The thing that was selected by hand. Until then it is the first row, whatever stands there.
    chosen: Option<K>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { at: 0, top: 0, len: 0, room: 10, chosen: None }
    }
}

impl<K: Clone + PartialEq> List<K> {
    /// Finds the selected thing among new rows.
    pub(crate) fn settle(&mut self, rows: &[K]) {
        self.len = rows.len();
        let found = self.chosen.as_ref().and_then(|chosen| rows.iter().position(|row| row == chosen));
        self.at = found.unwrap_or(self.at).min(self.len.saturating_sub(1));
    }

    /// Selects a row.
    pub(crate) fn select(&mut self, at: usize, rows: &[K]) {
        self.len = rows.len();
        self.at = at.min(self.len.saturating_sub(1));
        self.chosen = rows.get(self.at).cloned();
    }

    /// Makes room for so many rows, with the selected one among them; returns which are to be drawn.
    pub(crate) fn window(&mut self, room: usize) -> std::ops::Range<usize> {
        self.room = room.max(1);
        self.top = self.top.min(self.at).max((self.at + 1).saturating_sub(self.room));
        self.top = self.top.min(self.len.saturating_sub(self.room));
        self.top..(self.top + room).min(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    #[test]
    fn the_selected_thing_stays_selected() {
        let mut list = List::default();
        list.settle(&['a', 'b', 'c']);
        list.settle(&['x', 'a', 'b', 'c']);
        assert_eq!(list.at, 0, "nothing was chosen yet");
        list.select(1, &['x', 'a', 'b', 'c']);
        list.settle(&['a', 'b', 'c']);
        assert_eq!(list.at, 0);
        list.select(9, &['a', 'b', 'c']);
        list.settle(&['a']);
        assert_eq!(list.at, 0);
        list.settle(&[]);
        list.select(3, &[]);
        assert_eq!((list.at, list.window(5)), (0, 0..0));
    }

    #[test]
    fn the_window_follows_the_selection() {
        let rows: Vec<u32> = (0..100).collect();
        let mut list = List::default();
        list.settle(&rows);
        assert_eq!(list.window(10), 0..10);
        list.select(12, &rows);
        assert_eq!(list.window(10), 3..13);
        list.select(0, &rows);
        assert_eq!(list.window(10), 0..10);
        list.select(usize::MAX, &rows);
        assert_eq!(list.window(10), 90..100);
        assert_eq!(list.window(30), 70..100);
    }
}
