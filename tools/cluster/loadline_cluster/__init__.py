"""Where does Loadline run on this machine?"""
