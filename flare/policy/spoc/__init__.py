"""The policy of SPOC and FLaRe: frozen image and text encoders, a fusion transformer, a decoder."""
