extension Duration {
  /// Seconds with their fraction, of at most a year.
  var seconds: Double {
    let (seconds, attoseconds) = components
    return Double(min(seconds, 31_536_000)) + Double(attoseconds) * 1e-18
  }
}
