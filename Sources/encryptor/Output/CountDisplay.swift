/// Progress of work of known length: a bar on a terminal, a line every few seconds otherwise.
final class CountDisplay {
  private let label: String
  private let clock = ContinuousClock()
  private var lastShown: ContinuousClock.Instant?
  private let interval: Duration = StandardError.isTerminal ? .milliseconds(100) : .seconds(5)

  init(_ label: String) {
    self.label = label
  }

  func show(_ done: Int, of total: Int) {
    let now = clock.now
    if let lastShown, lastShown.duration(to: now) < interval { return }
    if lastShown == nil, !StandardError.isTerminal {
      lastShown = now
      return
    }
    lastShown = now
    let share = "\(label) \(NumberText.count(done)) of \(NumberText.count(total))"
    if StandardError.isTerminal { StandardError.replaceLine(share) } else { StandardError.write(share + "\n") }
  }

  func end() {
    if StandardError.isTerminal { StandardError.write("\r\u{1B}[K") }
  }
}
