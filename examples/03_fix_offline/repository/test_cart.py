import unittest

from cart import to_pay, total


class Cart(unittest.TestCase):
    def test_lines_add_up(self):
        self.assertEqual(total([(250, 2), (100, 3)]), 800)

    def test_small_carts_have_no_discount(self):
        self.assertEqual(to_pay([(9_999, 1)], 10), 9_999)

    def test_the_discount_holds_from_a_hundred_on(self):
        self.assertEqual(to_pay([(5_000, 2)], 10), 9_000)

    def test_large_carts_have_a_discount(self):
        self.assertEqual(to_pay([(5_000, 4)], 10), 18_000)
