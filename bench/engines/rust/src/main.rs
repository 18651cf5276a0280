//! Two sessions of the crate yamux over a pipe of memory, as `work pair` does it: STREAMS streams of the client write
//! 64 KiB at a time, MIB in all; the server reads. Prints one line of JSON.
use std::alloc::{GlobalAlloc, Layout, System};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{AsyncReadExt, AsyncWriteExt};
use tokio::io::DuplexStream;
use tokio::task::{spawn_local, LocalSet};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use yamux::{Config, Connection, Mode};

const WRITE: usize = 65536;
const ROOM: usize = 262144;

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        System.dealloc(memory, layout)
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("schedstat");
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

type Link = Connection<Compat<DuplexStream>>;

async fn drive(mut link: Link) {
    while poll_fn(|cx| link.poll_next_inbound(cx)).await.is_some() {}
}

async fn run(streams: usize, mib: usize) {
    let (one, other) = tokio::io::duplex(ROOM);
    let mut client: Link = Connection::new(one.compat(), Config::default(), Mode::Client);
    let mut server: Link = Connection::new(other.compat(), Config::default(), Mode::Server);
    let each = (mib << 20) / streams / WRITE * WRITE;
    let mut writers = Vec::new();
    for _ in 0..streams {
        writers.push(poll_fn(|cx| client.poll_new_outbound(cx)).await.expect("a stream"));
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let begun = cpu();
    spawn_local(drive(client));
    let mut tasks = Vec::new();
    for mut writer in writers {
        tasks.push(spawn_local(async move {
            let text = vec![0u8; WRITE];
            for _ in 0..each / WRITE {
                writer.write_all(&text).await.expect("written");
            }
            writer.flush().await.expect("flushed");
        }));
    }
    let mut readers = Vec::new();
    for _ in 0..streams {
        let mut reader = poll_fn(|cx| server.poll_next_inbound(cx)).await.unwrap().expect("a stream");
        readers.push(spawn_local(async move {
            let mut text = vec![0u8; WRITE];
            let mut got = 0;
            while got < each {
                got += reader.read(&mut text).await.expect("read");
            }
        }));
    }
    spawn_local(drive(server));
    for task in tasks.into_iter().chain(readers) {
        task.await.expect("done");
    }
    println!(
        "{{\"work\": \"pair\", \"size\": {}, \"count\": {}, \"bytes\": {}, \"cpu_s\": {:.6}, \"allocations\": {}}}",
        streams, mib, each * streams, cpu() - begun, ALLOCATIONS.load(Ordering::Relaxed) - before
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|word| word.parse().expect("STREAMS MIB")).collect();
    LocalSet::new().run_until(run(numbers[0], numbers[1])).await;
    std::process::exit(0);
}
