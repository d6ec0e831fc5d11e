//! Times qeinsum and other crates, on request: reads a request a line, answers each with a line.
//!
//! The rounds of a benchmark are another program's, which has contestants of other languages too; here one thing is timed
//! at a time. Everything runs inside a rayon pool of the size given as the only argument, as in a program that uses rayon.

mod contestant;
mod network;
mod operands;
mod ours;
mod products;
mod protocol;

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufWriter, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use contestant::Contestant;
use operands::Operands;
use protocol::{Matrices, Reply, Request};

type Fault = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Fault> {
    let threads: NonZeroUsize = std::env::args().nth(1).ok_or("usage: peers THREADS")?.parse()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build()?;
    // A panic is an answer like other errors, which says all there is to say.
    std::panic::set_hook(Box::new(|_| {}));
    pool.install(|| serve(threads))
}

fn serve(threads: NonZeroUsize) -> Result<(), Fault> {
    let mut server = Server { threads, operands: Operands::default(), contestants: Vec::new() };
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        let reply = catch_unwind(AssertUnwindSafe(|| server.answer(request)))
            .unwrap_or_else(|panic| Err(message(&*panic).into()))
            .unwrap_or_else(|error| Reply::Error(error.to_string()));
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &reply)?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

fn message(panic: &dyn std::any::Any) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a message"))
}

struct Server {
    threads: NonZeroUsize,
    operands: Operands,
    contestants: Vec<Box<dyn Contestant>>,
}

impl Server {
    fn answer(&mut self, request: Request) -> Result<Reply, Fault> {
        Ok(match request {
            Request::Load { floats, integers } => {
                self.contestants.clear();
                self.operands = Operands::load(&floats, &integers)?;
                Reply::Ready
            }
            Request::Describe { equation } => {
                Reply::Description { multiplications: ours::multiplications(&equation, &self.operands)? }
            }
            Request::Setup { contestant, equation, matrices } => {
                let contestant = self.contestant(&contestant, &equation, matrices)?;
                self.contestants.push(contestant);
                Reply::Handle(self.contestants.len() - 1)
            }
            Request::Result { handle, file } => {
                let (shape, dtype) = self.handle(handle)?.output()?.write(BufWriter::new(File::create(file)?))?;
                Reply::Written { shape, dtype }
            }
            Request::Time { handle, repeats } => {
                let contestant = self.handle(handle)?;
                let start = Instant::now();
                for _ in 0..repeats {
                    contestant.run()?;
                }
                Reply::Seconds(start.elapsed().as_secs_f64())
            }
            Request::Peaks => {
                let (int8, f32) = ours::peaks(self.threads);
                Reply::Peaks { int8, f32 }
            }
        })
    }

    fn handle(&mut self, handle: usize) -> Result<&mut Box<dyn Contestant>, Fault> {
        self.contestants.get_mut(handle).ok_or_else(|| "no such handle".into())
    }

    fn contestant(&self, name: &str, equation: &str, matrices: Option<Matrices>) -> Result<Box<dyn Contestant>, Fault> {
        let (operands, threads) = (&self.operands, self.threads.get());
        let matrices = || matrices.ok_or("not a product of matrices as they lie in memory");
        match name {
            "qeinsum-f32" => ours::float(equation, operands),
            "qeinsum-quantized" => ours::quantized(equation, operands),
            "qeinsum-frozen" => ours::frozen(equation, operands),
            "qeinsum-from-text" => ours::from_text(equation, operands),
            "gemm" => products::gemm(operands, matrices()?, threads),
            "faer" => products::faer(operands, matrices()?, threads),
            "rten" => products::rten(operands, matrices()?),
            "rten-integers" => products::rten_integers(operands, matrices()?),
            "cpueinsum" => network::cpueinsum(equation, operands, &ours::order(equation, operands)?, threads),
            _ => Err(format!("no contestant is named {name}").into()),
        }
    }
}
