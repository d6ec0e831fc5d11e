//! `qeinsum playground`: serves the folder of the playground to the browsers of this machine, and to nobody else.

use std::ffi::OsString;
use std::fs::File;
use std::net::Ipv4Addr;

use clap::Args;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::console::complain;
use crate::destination;
use crate::failure::Failure;
use crate::served::{self, Folder};

const EXAMPLES: &str = "\
Examples:
  examples/playground/build && qeinsum playground
  qeinsum playground --folder /srv/playground --port 0";

/// Serve the playground on this machine: plans and pictures of equations as one types them
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Playground {
    /// The folder that `examples/playground/build` has made
    #[arg(long, value_name = "DIR", default_value = "target/playground")]
    folder: OsString,

    /// The port; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 8717)]
    port: u16,
}

impl Playground {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = Folder::new(&self.folder)?;
        let server = Server::http((Ipv4Addr::LOCALHOST, self.port))
            .map_err(|error| Failure::Machine(format!("cannot serve at port {}: {error}", self.port)))?;
        let port = server.server_addr().to_ip().map_or(self.port, |address| address.port());
        destination::print(&format!("http://{}:{port}/\n", Ipv4Addr::LOCALHOST))?;
        complain("serving to this machine only; Ctrl-C ends it");
        for request in server.incoming_requests() {
            // Who goes away before the answer has missed it.
            let _ = answer(&folder, request);
        }
        Ok(())
    }
}

fn answer(folder: &Folder, request: Request) -> std::io::Result<()> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        let allow = Header::from_bytes("Allow", "GET, HEAD");
        let refused = Response::from_string("405: files can be read only\n").with_status_code(405);
        return request.respond(allow.into_iter().fold(refused, Response::with_header));
    }
    let found = folder.find(request.url()).and_then(|path| Some((File::open(&path).ok()?, served::media_type(&path))));
    let Some((file, media_type)) = found else {
        return request.respond(Response::from_string("404: no such file\n").with_status_code(404));
    };
    let headers = [("Content-Type", media_type), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-cache")];
    let headers = headers.into_iter().filter_map(|(name, value)| Header::from_bytes(name, value).ok());
    request.respond(headers.fold(Response::from_file(file), Response::with_header))
}
