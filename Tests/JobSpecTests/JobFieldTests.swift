import Testing

@testable import JobSpec

@Suite struct JobFieldTests {
  @Test func everyConstantDefaultIsWithinItsDocumentedRange() throws {
    for field in JobFields.all where JobSchema.fields[field.path] != nil {
      guard field.defaultText != "required", !field.defaultText.contains(" ") else { continue }
      let specification = try JobSpecification.parse(
        bytes: Array("name: x".utf8), overrides: ["\(field.path)=\(field.defaultText)"])
      #expect(specification.keys.contains(field.path))
    }
  }

  @Test func theReferenceHasALineForEveryKey() {
    let lines = JobFieldDescription.reference.split(separator: "\n")
    #expect(lines.count == JobFields.all.count + 2)
    #expect(
      JobFieldDescription.reference.contains(
        "| `train.epochs` | an integer from 1 to 100000 | 1 | Passes over the training rows. |"))
  }

  @Test func editDistancesByHand() {
    #expect(EditDistance.between("epochs", "epoch") == 1)
    #expect(EditDistance.between("", "abc") == 3)
    #expect(EditDistance.between("abc", "") == 3)
    #expect(EditDistance.between("btach", "batch") == 1)
    #expect(EditDistance.between("kitten", "sitting") == 3)
  }

  @Test func numbersAreDecimalOnly() {
    #expect(NumberText.integer("+12") == 12)
    #expect(NumberText.integer("0x10") == nil)
    #expect(NumberText.integer("99999999999999999999") == nil)
    #expect(NumberText.number("1.5e-3")?.value == 0.0015)
    #expect(NumberText.number(".5")?.value == 0.5)
    #expect(NumberText.number("2.")?.value == 2)
    #expect(NumberText.number("1e999")?.overflows == true)
    for text in ["", ".", "-", "1e", "1e+", "nan", "inf", "0x1p3", "1_000", "1 ", "--1", ".e1"] {
      #expect(NumberText.number(text) == nil, "\(text)")
    }
  }

  @Test func endpoints() {
    for text in ["tcp://localhost:1", "tcp://[::1]:65535", "tcp://10.0.0.1:5570", "tcp://a-b.c_d:80"] {
      #expect(TrainerEndpoint.isValid(text), "\(text)")
    }
    for text in [
      "", "tcp://", "tcp://:1", "tcp://h", "tcp://h:", "tcp://h:0", "tcp://h:65536", "tcp://h:+1", "tcp://h:1/x",
      "ipc://h:1", "tcp://a b:1", "tcp://*:1", "tcp://[]:1", "tcp://[x]:1", "tcp://-h:1", "tcp://h:99999999999999",
    ] {
      #expect(!TrainerEndpoint.isValid(text), "\(text)")
    }
  }
}
