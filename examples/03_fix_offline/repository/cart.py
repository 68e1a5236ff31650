"""A cart: prices in cents, and what is taken off."""


def total(lines):
    """Cents of all lines, each a price and a count."""
    return sum(price * count for price, count in lines)


def to_pay(lines, discount):
    """Cents to pay after a discount in percent, which holds from 100.00 on."""
    sum_of_lines = total(lines)
    if sum_of_lines > 10_000:
        return sum_of_lines - sum_of_lines * discount // 100
    return sum_of_lines
