//! Embedded migrations must be compiled again when a file is added.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
