"""The file format of expected outputs tells variants apart and loses nothing."""

from rig import golden
from rig.interpreters import MINORS


def test_merged_outputs_come_apart_again():
    outputs = {}
    for minor in MINORS:
        for loop in golden.LOOPS:
            lines = ["common", "old" if minor in MINORS[:3] else "new", "", "end"]
            if (minor, loop) == ("3.14", "uvloop"):
                lines.insert(2, "  odd one")
            outputs[minor, loop] = "".join(line + "\n" for line in lines)
    text = golden.merge(outputs)
    assert text == (
        "common\n⟦3.9-3.11⟧ old\n⟦3.12-3.15⟧ new\n⟦uvloop:3.14⟧   odd one\n\nend\n"
    )
    for variant, output in outputs.items():
        assert golden.select(text, variant) == output
