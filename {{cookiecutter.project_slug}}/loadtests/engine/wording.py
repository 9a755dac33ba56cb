"""How figures are written."""


def percent(share: float) -> str:
    """`100 %`, `12.5 %`, `0.04 %`: never as none what is some."""
    hundredths = 100 * share
    digits = next((digits for digits in range(1, 10) if round(hundredths, digits) > 0), 10)
    return f"{hundredths:.{digits}f}".rstrip("0").rstrip(".") + " %"
