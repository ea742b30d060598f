//! The figures of the mesh, each beside the bare broker's of the same run.
//!
//! `bench [NAME…]` with NAME among `score`, `analyzer`, `commander`, `idle`, `latency`,
//! `throughput`, `correlate`, `response`; all without one. Machines are noisy: what counts is the
//! ratio within one run.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a benchmark reports to a terminal and ends where it fails"
)]

mod analyzer;
mod bodies;
mod commander;
mod correlate;
mod idle;
mod latency;
mod response;
mod rival;
mod score;
mod throughput;

/// The same as in `magsentinel`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A recorded statement mix of a small shop: short reads and writes, one injection in fifty.
fn statement(n: u64) -> String {
    match n % 50 {
        7 => format!("SELECT id, name FROM products WHERE name = 'x{n}' OR 1=1 --'"),
        k if k % 5 == 0 => format!("UPDATE products SET stock = stock - 1 WHERE id = {n}"),
        k if k % 3 == 0 => format!(
            "SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer_id \
             WHERE o.id = {n}"
        ),
        _ => format!("SELECT id, name, price FROM products WHERE id = {n}"),
    }
}

/// The `p`-th part of sorted values.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = ((sorted.len().max(1) - 1) as f64 * p).round();
    sorted.get(at as usize).copied().unwrap_or(f64::NAN)
}

#[tokio::main]
async fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    println!("{:<58} {:>14} {:>14}", "figure", "magsentinel", "beside it");
    if wants("score") {
        score::run().await;
    }
    if wants("analyzer") {
        analyzer::run();
    }
    if wants("commander") {
        commander::run();
    }
    if wants("idle") {
        idle::run().await;
    }
    if wants("latency") {
        latency::run().await;
    }
    if wants("throughput") {
        throughput::run().await;
    }
    if wants("correlate") {
        correlate::run().await;
    }
    if wants("response") {
        response::run().await;
    }
}
