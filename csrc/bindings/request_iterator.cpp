// A type in the C API, not of pybind11: between two steps of a worker other processes have had the
// caches, so that every line of code and data a call touches costs. The loop over requests is one
// such call a step, by the shortest way that Python has.
#include "bindings/request_iterator.hpp"

#include <array>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "rollout/rollout_buffer.hpp"

namespace py = pybind11;

namespace flare::bindings {
namespace {

struct Requests {
  PyObject ob_base;
  std::shared_ptr<WorkerSlot> slot;
  py::type request_type;
  py::tuple commands;
  bool is_closed;
};

PyTypeObject* requests_type = nullptr;  // of the module, which is never unloaded

/// The next request, slept for without the GIL; signals are handled in between.
Request wait_request(WorkerSlot& slot) {
  while (true) {
    PyThreadState* thread = PyEval_SaveThread();
    std::optional<Request> request;
    std::exception_ptr failure;
    try {
      request = slot.next_request(RolloutBuffer::kLivenessPeriod);
    } catch (...) {
      failure = std::current_exception();
    }
    PyEval_RestoreThread(thread);
    if (failure) std::rethrow_exception(failure);
    if (request) return *request;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

/// A new reference to request_type(command, step), made as a tuple's own allocation makes it.
PyObject* make_request(const Requests& self, const Request& request) {
  auto* type = reinterpret_cast<PyTypeObject*>(self.request_type.ptr());
  PyObject* made = type->tp_alloc(type, 2);
  if (made == nullptr) return nullptr;
  PyObject* step = PyLong_FromUnsignedLong(request.step);
  PyObject* command =
      PyTuple_GetItem(self.commands.ptr(), static_cast<Py_ssize_t>(request.command));
  if (step == nullptr || command == nullptr) {
    Py_XDECREF(step);
    Py_DECREF(made);
    return nullptr;
  }
  PyTuple_SET_ITEM(made, 0, Py_NewRef(command));
  PyTuple_SET_ITEM(made, 1, step);
  return made;
}

PyObject* next(PyObject* object) {
  auto& self = *reinterpret_cast<Requests*>(object);
  if (self.is_closed) return nullptr;
  try {
    const Request request = wait_request(*self.slot);
    self.is_closed = request.command == Command::kClose;
    return self.is_closed ? nullptr : make_request(self, request);
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const StateError& error) {
    py::set_error(py::module_::import("flare._core").attr("StateError"), error.what());
  } catch (const std::exception& error) {
    py::set_error(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

void dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  auto* self = reinterpret_cast<Requests*>(object);
  std::destroy_at(&self->slot);
  std::destroy_at(&self->request_type);
  std::destroy_at(&self->commands);
  type->tp_free(object);
  Py_DECREF(type);
}

}  // namespace

void bind_requests(py::module_& m) {
  static std::array<PyType_Slot, 5> slots{
      PyType_Slot{Py_tp_iter, reinterpret_cast<void*>(&PyObject_SelfIter)},
      PyType_Slot{Py_tp_iternext, reinterpret_cast<void*>(&next)},
      PyType_Slot{Py_tp_dealloc, reinterpret_cast<void*>(&dealloc)},
      PyType_Slot{Py_tp_doc, const_cast<char*>("The requests of one slot, until CLOSE.")},
      PyType_Slot{0, nullptr}};
  static PyType_Spec spec{"flare._core.Requests", sizeof(Requests), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots.data()};
  auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  m.attr("Requests") = type;
  requests_type = reinterpret_cast<PyTypeObject*>(type.inc_ref().ptr());
}

py::object make_requests(std::shared_ptr<WorkerSlot> slot, py::type request_type,
                         py::tuple commands) {
  auto made = py::reinterpret_steal<py::object>(requests_type->tp_alloc(requests_type, 0));
  if (!made) throw py::error_already_set();
  auto* self = reinterpret_cast<Requests*>(made.ptr());
  std::construct_at(&self->slot, std::move(slot));
  std::construct_at(&self->request_type, std::move(request_type));
  std::construct_at(&self->commands, std::move(commands));
  self->is_closed = false;
  return made;
}

}  // namespace flare::bindings
