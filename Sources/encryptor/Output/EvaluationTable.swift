import Wire

/// One line an epoch: validation loss and metrics, the kept epoch marked.
struct EvaluationTable {
  let lines: [String]

  init(_ records: [ProgressRecord], keptEpoch: Int? = nil) {
    var names: [String] = []
    var rows: [[String]] = []
    for case .evaluation(let epoch, _, let loss, let metrics, _, let seconds) in records {
      names = metrics.keys.sorted()
      rows.append(
        [keptEpoch == epoch ? "\(epoch + 1) *" : "\(epoch + 1)", NumberText.fixed(loss, 4)]
          + names.map { NumberText.fixed(metrics[$0] ?? .nan, 4) } + [NumberText.fixed(seconds, 2)])
    }
    lines =
      rows.isEmpty
      ? [] : TextTable(header: ["epoch", "loss"] + names + ["seconds"], rows: rows, numeric: true).lines
  }
}
