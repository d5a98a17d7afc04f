// What PRINT of the native backend writes, in PLUMED's form: columns named by `#! FIELDS`, the first
// of them the time.

#ifndef QUORUM_ORDER_PRINT_H
#define QUORUM_ORDER_PRINT_H

#include "order_program.h"

#include <cstdint>
#include <cstdio>
#include <memory>

namespace quorum::order {

class PrintFile {
 public:
  // `file`: the name in the input, or what stands in for it.
  PrintFile(const Print &print, const std::vector<std::string> &names, std::string file);
  // Before a run: a file is begun anew at step 0 and with RESTART=NO; later its earlier rows are
  // kept, others replaced; with RESTART=YES all are kept. Throws Failure.
  void open(int64_t step, double time);
  // Once per step, if it is due.
  void write(int64_t step, double time, const std::vector<double> &values);

 private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };

  Print print_;
  std::string file_, header_;
  std::unique_ptr<std::FILE, Close> out_;
  int64_t last_step_ = -1;
};

}    // namespace quorum::order

#endif
