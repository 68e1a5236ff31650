"""What a parcel costs to send."""


def price_cents(weight_g: int) -> int:
    """2 cents a started 10 g, at least 150 cents."""
    return max(150, 2 * -(-weight_g // 10))


def zone(distance_km: float) -> str:
    """Near is up to 100 km, far is beyond."""
    return "near" if distance_km < 100 else "far"
