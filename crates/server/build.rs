//! The dashboard is embedded from `web/dist`. A build without it gets a page that tells how to build it.

use std::path::Path;
use std::{fs, io};

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Instant Dev Logs</title>
<h1>The dashboard is not built</h1>
<p>This program was compiled without it. Run <code>npm ci &amp;&amp; npm run build</code> in the folder <code>web</code>
and compile again. The API works: see <a href=\"/api/v1/openapi.json\">its description</a>.</p>
</html>
";

fn main() -> io::Result<()> {
    let dist = Path::new("../../web/dist");
    let index = dist.join("index.html");
    if !index.exists() {
        fs::create_dir_all(dist)?;
        fs::write(&index, PAGE)?;
    }
    println!("cargo:rerun-if-changed=../../web/dist");
    Ok(())
}
