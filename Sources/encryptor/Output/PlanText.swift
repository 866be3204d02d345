import Masking
import Architecture
import OwnerSession

extension PlanReport {
  /// The plan as a person reads it.
  func text(resolvedJob: String) -> String {
    var lines = [resolvedJob]
    lines +=
      TextTable(
        header: ["parameter", "shape"],
        rows: parameters.map { [$0.name, $0.shape.map(String.init).joined(separator: " × ")] }
      ).lines
    lines += [
      "\(NumberText.count(parameterCount)) parameters; \(NumberText.count(trainingRows)) training rows, "
        + "\(NumberText.count(validationRows)) validation rows, \(NumberText.count(steps)) steps", "",
    ]
    lines +=
      TextTable(
        header: ["space", "width", "key", "decided by"],
        rows: spaces.map { ["\($0.space)", "\($0.width)", $0.keyDescription, $0.decidedBy] }
      ).lines
    lines += ["", "The trainer sees"] + trainerSees.map { "  - \($0)" } + [""]
    if !notices.isEmpty { lines += ["Before anything is sent"] + notices.map { "  - \($0)" } + [""] }
    lines +=
      TextTable(
        header: ["bytes on the wire", ""],
        rows: [
          ["rows, each once (trainer keeps them)", NumberText.bytes(traffic.rowBytesOnce)],
          ["rows, every epoch (it does not)", NumberText.bytes(traffic.rowBytesEveryEpoch)],
          ["outputs to the owner", NumberText.bytes(traffic.outputBytes)],
          ["output gradients to the trainer", NumberText.bytes(traffic.gradientBytes)],
          ["weights, one way", NumberText.bytes(traffic.weightBytes)],
        ], numeric: true
      ).lines
    return lines.joined(separator: "\n")
  }
}
