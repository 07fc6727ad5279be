//! Embedding smelt in Rust: compile contracts, deploy them into a state in memory, call them.
//!
//!     cargo run -- ../contracts <directory>
//!
//! <directory> gets the entry `cache` (native code); run it again and nothing is compiled.

mod smelt;
mod sys;

use smelt::{Address, Cache, Compiler, Engine, Receipt, Schedule, Store, Transaction};
use std::error::Error;
use std::fs;
use std::thread;

/// Floats are refused by the default policy.
const REFUSED: &str = r#"(module (func (export "half") (result f32) (f32.const 0.5)))"#;

const READERS: usize = 4;
const READS: usize = 100;

fn print_receipt(what: &str, receipt: &Receipt) {
    let results = receipt.results();
    println!(
        "{what:<9} {}  result {}  fuel {}  writes {}",
        receipt.outcome(),
        if results.is_empty() {
            "-".into()
        } else {
            results.join(" ")
        },
        receipt.fuel_used(),
        receipt.write_count()
    );
    for event in receipt.events() {
        println!(
            "          event {}: {}",
            String::from_utf8_lossy(event.topic),
            String::from_utf8_lossy(event.data)
        );
    }
}

fn deploy(engine: &Engine, from: &Transaction, path: &str) -> Result<Address, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let receipt = engine.deploy(from, &smelt::wat_to_wasm(&text)?)?;
    print_receipt("deploy", &receipt);
    Ok(receipt.address())
}

fn transaction(block_number: u64) -> Transaction<'static> {
    let mut from = [0; 32];
    from[0] = 0xa1;
    Transaction {
        from,
        block_number,
        block_timestamp: 1_700_000_000,
        ..Default::default()
    }
}

/// Static calls from several threads over one engine. True when each read the notice.
fn read_beside(engine: &Engine, board: &Address, notice: &[u8]) -> bool {
    let read = || -> Result<bool, smelt::Error> {
        for _ in 0..READS {
            let view = Transaction {
                is_static: true,
                ..transaction(6)
            };
            if engine.call(&view, board, "read")?.return_data() != notice {
                return Ok(false);
            }
        }
        Ok(true)
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        readers
            .into_iter()
            .all(|reader| matches!(reader.join(), Ok(Ok(true))))
    })
}

fn run(contracts: &str, directory: &str) -> Result<(), Box<dyn Error>> {
    let cache = Cache::open(&format!("{directory}/cache"))?;
    let schedule = Schedule::builtin("engine-v1")?;
    let compiler = Compiler::create(&cache, &schedule)?;
    let store = Store::create_memory()?;
    let engine = Engine::create(&store, &compiler)?;

    let counter = deploy(
        &engine,
        &transaction(1),
        &format!("{contracts}/counter.wat"),
    )?;
    for block_number in 2..5 {
        let receipt = engine.call(&transaction(block_number), &counter, "increment")?;
        print_receipt("increment", &receipt);
    }

    let board = deploy(&engine, &transaction(5), &format!("{contracts}/board.wat"))?;
    let notice: &[u8] = b"hello, chain";
    let post = Transaction {
        input: notice,
        ..transaction(6)
    };
    print_receipt("post", &engine.call(&post, &board, "post")?);

    // What a contract does wrong is an outcome, in the receipt …
    let view = Transaction {
        is_static: true,
        ..transaction(6)
    };
    print_receipt("static", &engine.call(&view, &counter, "increment")?);

    // … and what cannot be done at all is an error.
    match engine.deploy(&transaction(7), &smelt::wat_to_wasm(REFUSED)?) {
        Err(error) if error.is_refusal() => println!("refused   {error}"),
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("a module with floats was accepted".into()),
    }

    if !read_beside(&engine, &board, notice) {
        return Err("a reader did not get the notice".into());
    }
    println!(
        "read      {} static calls by {READERS} threads",
        READERS * READS
    );
    Ok(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 3 {
        eprintln!("usage: {} <contracts> <directory>", arguments[0]);
        std::process::exit(2);
    }
    println!("smelt {}", smelt::version());
    if let Err(error) = run(&arguments[1], &arguments[2]) {
        eprintln!("smelt-embed: {error}");
        std::process::exit(1);
    }
}
