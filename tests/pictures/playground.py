"""Drives the playground, as `qeinsum playground` serves it."""

import subprocess

from playwright.sync_api import expect

WRONG = "bhqk,bkhd->bqhz"


def play(looker, qeinsum, folder):
    """Types equations, right and wrong ones, and looks at what comes."""
    server = subprocess.Popen(
        [qeinsum, "playground", "--port", "0", "--folder", str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip()
        _play(looker, address)
    finally:
        server.terminate()
        server.wait()


def _play(looker, address):
    page = looker.open("playground", address, "light", (1440, 960))
    page.wait_for_selector("#picture svg.picture")
    looker.check_boxes(page, "playground")
    page.locator(".node.call[data-value]").first.hover()
    looker.keep(page, "playground-light")

    # An error has carets under its place, and the picture before it stays, pale.
    page.locator("#equation").fill(WRONG)
    page.wait_for_selector("#error:not([hidden])")
    error = page.locator("#error").inner_text()
    lines = error.splitlines()
    caret = next((line.index("^") for line in lines if "^" in line), -1)
    shown = next((line for line in lines if WRONG in line), "")
    looker.expect(caret >= 0 and shown[caret:caret + 1] == "z", f"playground: the caret is not under z: {error}")
    looker.expect(page.locator("#picture.old").count() == 1, "playground: the old picture is not pale")
    looker.keep(page, "playground-error")

    # What was put right is planned again, quantized, and stands in the address.
    page.locator("#equation").fill("ab,bc,cd,de->ae")
    page.locator("#sizes").fill("64x8,8x64,64x8,8x64")
    page.locator("#bits").select_option("8")
    expect(page.locator("#cost")).to_have_text("40960 mul")
    expect(page.locator("#picture")).to_contain_text("int8 over")
    looker.check_boxes(page, "playground, four operands")
    looker.expect("equation=ab%2Cbc%2Ccd%2Cde-%3Eae" in page.url, f"playground: the address is {page.url}")
    page.get_by_label("Colours").select_option("dark")
    looker.keep(page, "playground-dark")
    link = page.url
    page.close()

    # The address brings it back.
    page = looker.open("playground, from a link", link, "light", (1440, 960))
    expect(page.locator("#cost")).to_have_text("40960 mul")
    looker.expect(page.locator("#bits").input_value() == "8", "playground: the link forgets the bits")

    # A shape that does not fit, a size that is none, and no sizes at all.
    page.locator("#sizes").fill("64x8,9x64,64x8,8x64")
    expect(page.locator("#error")).to_contain_text("^")
    looker.keep(page, "playground-shapes")
    page.locator("#sizes").fill("")
    expect(page.locator("#symbolic")).to_contain_text("mul")
    looker.keep(page, "playground-symbolic")

    # Twelve operands are answered while one types.
    page.locator("#examples").select_option(label="Ring of twelve")
    expect(page.locator("#cost")).to_have_text("15912 mul", timeout=8000)
    looker.check_boxes(page, "playground, twelve operands")
    looker.keep(page, "playground-12")

    # Nothing that is typed is markup.
    page.locator("#equation").fill("<img src=x onerror=alert(1)>")
    page.wait_for_selector("#error:not([hidden])")
    looker.expect(page.locator("img").count() == 0, "playground: what is typed became markup")
    page.close()
