//! Snapshots in the formats of other programs: a file each.

pub mod html;
