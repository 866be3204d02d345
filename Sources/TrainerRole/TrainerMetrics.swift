import Foundations
package import Service
import Synchronization

/// What a trainer counts of its work, for whoever watches it, beside what every server counts. Counting is an atomic addition a step;
/// everything else happens when somebody asks.
package final class TrainerMetrics: Sendable {
  private let steps = Atomic(0)
  private let rows = Atomic(0)
  private let tokens = Atomic(0)
  private let checkpoints = Atomic(0)
  private let checkpointNanoseconds = Atomic(0)

  package init() {}

  /// - Parameter tokens: 0 where a sample is one row.
  func countStep(rows: Int, tokens: Int) {
    steps.wrappingAdd(1, ordering: .relaxed)
    self.rows.wrappingAdd(rows, ordering: .relaxed)
    self.tokens.wrappingAdd(tokens, ordering: .relaxed)
  }

  func countCheckpoint(_ elapsed: Duration) {
    checkpoints.wrappingAdd(1, ordering: .relaxed)
    checkpointNanoseconds.wrappingAdd(Int(elapsed / .nanoseconds(1)), ordering: .relaxed)
  }

  /// - Parameter memoryLimit: bytes that running jobs may take together.
  package func add(to text: inout MetricsText, memoryLimit: Int) {
    text.add("trainer_steps_total", .counter, "Training steps applied.", of: steps)
    text.add("trainer_rows_total", .counter, "Rows (samples) of the steps applied.", of: rows)
    text.add(
      "trainer_tokens_total", .counter, "Tokens of the steps applied, of models whose samples are sequences.",
      of: tokens)
    text.add(
      "trainer_memory_limit_bytes", .gauge, "Memory that running jobs may take together (--memory-limit).",
      [.init([], Double(memoryLimit))])
    text.add("trainer_checkpoints_total", .counter, "Checkpoints written.", of: checkpoints)
    text.add(
      "trainer_checkpoint_seconds_total", .counter, "Seconds spent on writing checkpoints.",
      [.init([], Double(checkpointNanoseconds.load(ordering: .relaxed)) / 1e9)])
  }
}
