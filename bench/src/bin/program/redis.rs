//! `redis`: a server under clients that send their requests in pipelines.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bench::Outcome;

use crate::{Result, Setting, outcome, usage};

/// Requests of each kind.
const REQUESTS: u32 = 100_000;

/// Only the server gets the allocator. Time is that of the requests, memory and processor time are the server's.
pub(crate) fn run(setting: &Setting) -> Result<Outcome> {
    let socket = setting.folder.join("socket");
    let mut server = setting
        .command("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no"])
        .args(["--loglevel", "warning", "--unixsocket"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("redis-server: {error}"))?;
    let found = load(setting, &server, &socket.to_string_lossy());
    // It has nothing to save.
    server.kill()?;
    server.wait()?;
    found
}

fn load(setting: &Setting, server: &Child, socket: &str) -> Result<Outcome> {
    let start = Instant::now();
    while !said(&["redis-cli", "-s", socket, "ping"]).is_ok_and(|said| said.trim() == "PONG") {
        if start.elapsed() > Duration::from_secs(20) {
            return Err("redis-server does not answer".into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    let before = usage::of_process(server.id()).ok_or("no server")?;
    let requests = setting.scaled(REQUESTS).to_string();
    let start = Instant::now();
    said(&[
        "redis-benchmark",
        "-s",
        socket,
        "-c",
        "20",
        "-P",
        "16",
        "-r",
        "50000",
        "-d",
        "100",
        "-n",
        &requests,
        "-q",
        "-t",
        "set,get,lpush,hset,mset",
    ])?;
    let time = start.elapsed().as_secs_f64();
    let cpu = usage::of_process(server.id()).ok_or("the server is gone")? - before;
    let peak = usage::peak_of_process(server.id()).ok_or("the server is gone")?;
    Ok(outcome(time, cpu, peak, 0))
}

/// What a client prints, on the C library's allocator.
fn said(words: &[&str]) -> Result<String> {
    let done = Command::new(words[0]).args(&words[1..]).output();
    let done = done.map_err(|error| format!("{}: {error}", words[0]))?;
    if !done.status.success() {
        return Err(format!("{} failed", words[0]).into());
    }
    Ok(String::from_utf8(done.stdout)?)
}
